# gust_library(<name> [DIR <folder>] DEPENDS <targets...> [OBJECTS <target>])
#
# Defines gust_<name> from the sources of the folder <name>, or the other one, and the
# assembly for this processor in <name>/arch/*_<processor>.S.
# OBJECTS names a target whose objects, if it has any, become part of the library.
function(gust_library name)
    cmake_parse_arguments(arg "" "DIR;OBJECTS" "DEPENDS" ${ARGN})
    set(dir ${PROJECT_SOURCE_DIR}/${name})
    if(arg_DIR)
        set(dir ${PROJECT_SOURCE_DIR}/${arg_DIR})
    endif()
    file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.c
        ${dir}/arch/*_${CMAKE_SYSTEM_PROCESSOR}.S)
    set(target gust_${name})
    if(GUST_SHARED)
        add_library(${target} SHARED ${sources})
    else()
        add_library(${target} STATIC ${sources})
    endif()
    # $ORIGIN: the libraries find each other wherever they are installed.
    set_target_properties(${target} PROPERTIES
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} INSTALL_RPATH "$ORIGIN")
    target_include_directories(${target}
        PUBLIC $<BUILD_INTERFACE:${dir}/include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
    # PUBLIC for the tests of internal headers: they get the include path, the
    # objects go into this library only.
    target_link_libraries(${target} PUBLIC ${arg_DEPENDS} ${arg_OBJECTS})
    set_property(GLOBAL APPEND PROPERTY GUST_LIBRARIES ${target})
endfunction()
