# gust_add_safepoints(<target>)
#
# Compiles the C and C++ sources of <target> so that loops without calls yield to
# other goroutines when their time is up: every basic block begins with
# gust_yield_if_needed(), which costs about a nanosecond.  Without it such loops
# lose their P to another thread instead, which is as safe.  Not for code that holds
# a pthread mutex in a loop: it could yield while it holds it.
function(gust_add_safepoints target)
    target_compile_options(${target} PRIVATE
        $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize-coverage=trace-pc>)
endfunction()
