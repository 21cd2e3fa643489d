# Finds llhttp and defines gust_llhttp, which carries its include path and either
# the installed library or the objects compiled from the C sources that Debian's
# node-llhttp package ships.

find_path(LLHTTP_INCLUDE_DIR llhttp.h)
find_library(LLHTTP_LIBRARY llhttp)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
find_path(LLHTTP_SOURCE_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp NO_DEFAULT_PATH)
mark_as_advanced(LLHTTP_INCLUDE_DIR LLHTTP_LIBRARY LLHTTP_SOURCE_DIR LLHTTP_SOURCE_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
if(LLHTTP_INCLUDE_DIR AND LLHTTP_LIBRARY)
    set(Llhttp_ORIGIN ${LLHTTP_LIBRARY})
elseif(LLHTTP_SOURCE_DIR AND LLHTTP_SOURCE_INCLUDE_DIR)
    set(Llhttp_ORIGIN ${LLHTTP_SOURCE_DIR})
endif()
set(Llhttp_FIND_QUIETLY ON)
find_package_handle_standard_args(Llhttp REQUIRED_VARS Llhttp_ORIGIN)

if(Llhttp_FOUND AND NOT TARGET gust_llhttp)
    if(Llhttp_ORIGIN STREQUAL LLHTTP_LIBRARY)
        add_library(gust_llhttp INTERFACE)
        target_include_directories(gust_llhttp SYSTEM INTERFACE ${LLHTTP_INCLUDE_DIR})
        target_link_libraries(gust_llhttp INTERFACE ${LLHTTP_LIBRARY})
    else()
        add_library(gust_llhttp OBJECT ${LLHTTP_SOURCE_DIR}/api.c ${LLHTTP_SOURCE_DIR}/http.c
            ${LLHTTP_SOURCE_DIR}/llhttp.c)
        target_include_directories(gust_llhttp SYSTEM PUBLIC ${LLHTTP_SOURCE_INCLUDE_DIR})
        # llhttp 8 is lenient unless told otherwise, and its header and its sources
        # must be told the same.
        target_compile_definitions(gust_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
        target_compile_options(gust_llhttp PRIVATE -w)
        # Hidden: a program may use another llhttp of its own beside ours.
        set_target_properties(gust_llhttp PROPERTIES
            POSITION_INDEPENDENT_CODE ${GUST_SHARED} C_VISIBILITY_PRESET hidden)
    endif()
endif()
