# What gust needs from the system.  A missing piece stops the configuration with
# the name of the Debian package that has it.

find_package(PkgConfig QUIET)
if(NOT PKG_CONFIG_FOUND)
    message(FATAL_ERROR "gust needs pkg-config.  Debian and Ubuntu: apt-get install pkg-config")
endif()

pkg_check_modules(LIBURING QUIET IMPORTED_TARGET liburing>=2.3)
if(NOT LIBURING_FOUND)
    message(FATAL_ERROR
        "gust needs liburing 2.3 or newer.  Debian and Ubuntu: apt-get install liburing-dev")
endif()

pkg_check_modules(OPENSSL QUIET IMPORTED_TARGET openssl>=3.0)
if(NOT OPENSSL_FOUND)
    message(FATAL_ERROR
        "gust needs OpenSSL 3.0 or newer.  Debian and Ubuntu: apt-get install libssl-dev")
endif()

pkg_check_modules(ZLIB QUIET IMPORTED_TARGET zlib)
if(NOT ZLIB_FOUND)
    message(FATAL_ERROR "gust needs zlib.  Debian and Ubuntu: apt-get install zlib1g-dev")
endif()

pkg_check_modules(BROTLIENC QUIET IMPORTED_TARGET libbrotlienc)
if(NOT BROTLIENC_FOUND)
    message(FATAL_ERROR "gust needs brotli.  Debian and Ubuntu: apt-get install libbrotli-dev")
endif()

pkg_check_modules(BROTLIDEC QUIET IMPORTED_TARGET libbrotlidec)
if(NOT BROTLIDEC_FOUND)
    message(FATAL_ERROR
        "gust needs brotli's decoder.  Debian and Ubuntu: apt-get install libbrotli-dev")
endif()

pkg_check_modules(JANSSON QUIET IMPORTED_TARGET jansson>=2.11)
if(NOT JANSSON_FOUND)
    message(FATAL_ERROR
        "gust needs Jansson 2.11 or newer.  Debian and Ubuntu: apt-get install libjansson-dev")
endif()

pkg_check_modules(YAML QUIET IMPORTED_TARGET yaml-0.1)
if(NOT YAML_FOUND)
    message(FATAL_ERROR "gust needs libyaml.  Debian and Ubuntu: apt-get install libyaml-dev")
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

find_package(Llhttp)
if(NOT Llhttp_FOUND)
    message(FATAL_ERROR "gust needs llhttp.  Debian and Ubuntu: apt-get install libllhttp-dev, "
        "or node-llhttp where there is no such package")
endif()

if(GUST_TESTS AND GUST_SANITIZE STREQUAL "none")
    pkg_check_modules(CRITERION QUIET IMPORTED_TARGET criterion)
    if(NOT CRITERION_FOUND)
        message(FATAL_ERROR "The tests need Criterion.  Debian and Ubuntu: apt-get install "
            "libcriterion-dev; or leave them out with -DGUST_TESTS=OFF")
    endif()
endif()
