# How everything in this tree is compiled.

if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux" OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|aarch64)$")
    message(FATAL_ERROR "gust runs on Linux, x86-64 and aarch64; this is "
        "${CMAKE_SYSTEM_NAME} on ${CMAKE_SYSTEM_PROCESSOR}.")
endif()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release)
endif()

# No -DNDEBUG: a broken invariant must stop a release build as well.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
# Not -O0: a thread-local cached across a park shows only in optimised code.
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")

add_compile_definitions(_GNU_SOURCE)
# Frame pointers: the backtrace of a parked goroutine walks them.
add_compile_options(-fno-omit-frame-pointer -fno-plt)
if(GUST_DEBUG)
    add_compile_definitions(GUST_DEBUG=1)
endif()

# GCC clears and copies structs of 64 bytes and more by "rep stos", which takes 30
# cycles to start: every operation, conn read and timer has such a struct.
include(CheckCCompilerFlag)
set(strategy vector_loop:256:noalign,libcall:-1:noalign)
check_c_compiler_flag(-mmemset-strategy=${strategy} GUST_HAS_MEMSET_STRATEGY)
if(GUST_HAS_MEMSET_STRATEGY)
    add_compile_options($<$<COMPILE_LANGUAGE:C>:-mmemset-strategy=${strategy}>
        $<$<COMPILE_LANGUAGE:C>:-mmemcpy-strategy=${strategy}>)
endif()

add_compile_options(
    $<$<COMPILE_LANGUAGE:C>:-Wall> $<$<COMPILE_LANGUAGE:C>:-Wextra>
    $<$<COMPILE_LANGUAGE:C>:-Wshadow> $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
    $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wold-style-definition>
    $<$<COMPILE_LANGUAGE:C>:-Wpointer-arith> $<$<COMPILE_LANGUAGE:C>:-Wvla>
    $<$<COMPILE_LANGUAGE:C>:-Wundef> $<$<COMPILE_LANGUAGE:C>:-Wwrite-strings>
    $<$<COMPILE_LANGUAGE:C>:-Wformat=2>)
if(GUST_WERROR)
    add_compile_options(-Werror)
endif()

if(GUST_SANITIZE STREQUAL "address")
    set(sanitizers -fsanitize=address,undefined)
    add_compile_options(-fno-sanitize-recover=all)
elseif(GUST_SANITIZE STREQUAL "thread")
    set(sanitizers -fsanitize=thread)
elseif(GUST_SANITIZE STREQUAL "fuzzer")
    set(sanitizers -fsanitize=fuzzer-no-link,address,undefined)
    add_compile_options(-fno-sanitize-recover=all)
elseif(NOT GUST_SANITIZE STREQUAL "none")
    message(FATAL_ERROR
        "GUST_SANITIZE is '${GUST_SANITIZE}'; it can be none, address, thread or fuzzer.")
endif()
if(DEFINED sanitizers)
    include(CheckCSourceCompiles)
    set(CMAKE_REQUIRED_FLAGS ${sanitizers})
    check_c_source_compiles("int main(void) { return 0; }" GUST_SANITIZER_LINKS)
    unset(CMAKE_REQUIRED_FLAGS)
    if(NOT GUST_SANITIZER_LINKS)
        message(FATAL_ERROR "${CMAKE_C_COMPILER} has no runtime for ${sanitizers}.  "
            "Another compiler may: CC=clang")
    endif()
    # Fortified libc calls go by other names, which the sanitizers do not intercept.
    add_compile_options(${sanitizers} -U_FORTIFY_SOURCE)
    add_link_options(${sanitizers})
endif()
