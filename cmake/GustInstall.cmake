# Libraries, public headers, gust.pc, and for what needs more than it gust-tls.pc (OpenSSL),
# gust-http-compress.pc and gust-http-decode.pc (zlib, brotli), gust-http-json.pc (Jansson); and
# gust-http-client.pc and gust-http-proxy.pc, which servers do without.

get_property(libraries GLOBAL PROPERTY GUST_LIBRARIES)
install(TARGETS ${libraries} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(name core net http http/client proxy proxy/yaml)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/${name}/include/gust
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
endforeach()

# For include() in other projects; pkg-config has no place for a function.
install(FILES ${PROJECT_SOURCE_DIR}/cmake/GustSafepoints.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/gust)

# Static archives do not record what they need, so gust.pc must say it.
set(GUST_PC_LIBS "")
foreach(library IN LISTS libraries)
    if(library MATCHES "^gust_(tls|http_client|http_proxy|http_proxy_yaml|http_compress|http_decode|http_json)$")
        continue()
    endif()
    string(PREPEND GUST_PC_LIBS "-l${library} ")
endforeach()
set(GUST_PC_REQUIRES "Requires.private")
if(NOT GUST_SHARED)
    set(GUST_PC_REQUIRES "Requires")
    if(Llhttp_ORIGIN STREQUAL LLHTTP_LIBRARY)
        string(APPEND GUST_PC_LIBS "-lllhttp ")
    endif()
endif()
string(APPEND GUST_PC_LIBS "-pthread")
# `cmake --install --prefix` is heard of too late for this file, so it says where
# things are by where it lies itself.
set(GUST_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
set(GUST_PC_LIBDIR ${CMAKE_INSTALL_FULL_LIBDIR})
set(GUST_PC_INCLUDEDIR ${CMAKE_INSTALL_FULL_INCLUDEDIR})
if(NOT IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR} AND NOT IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
    file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
    string(REGEX REPLACE "/$" "" up ${up})
    set(GUST_PC_PREFIX "\${pcfiledir}/${up}")
    set(GUST_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(GUST_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
foreach(name gust gust-tls gust-http-client gust-http-proxy gust-http-proxy-yaml
    gust-http-compress gust-http-decode gust-http-json)
    configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
