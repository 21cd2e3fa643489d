# Every C file of the calling folder is a program of its own, named after the file.
file(GLOB programs CONFIGURE_DEPENDS *.c)
foreach(source IN LISTS programs)
    get_filename_component(name ${source} NAME_WE)
    get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    # The folder keeps an example and a benchmark of the same name apart.
    add_executable(${folder}_${name} ${source})
    set_target_properties(${folder}_${name} PROPERTIES OUTPUT_NAME ${name})
    target_link_libraries(${folder}_${name} PRIVATE gust_http gust_net gust_core)
endforeach()
