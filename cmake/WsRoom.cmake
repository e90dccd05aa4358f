# ws_room(<name> SOURCES <file>... [LIBS <package>...])
#
# A room is an OBJECT library. Its include path is a folder of links that holds the public headers
# of itself and of the rooms below it, so that an include of a room above does not compile.
# LIBS are short names of WsPackages.cmake, or m.
set(WS_ROOMS core linalg io sketch index kernel model optim train cli CACHE INTERNAL "bottom to top")

function(ws_room_includes room out)
  set(top ${PROJECT_BINARY_DIR}/rooms/${room})
  file(MAKE_DIRECTORY ${top}/wingspan)
  foreach(r IN LISTS WS_ROOMS)
    if(EXISTS ${PROJECT_SOURCE_DIR}/include/wingspan/${r})
      file(CREATE_LINK ${PROJECT_SOURCE_DIR}/include/wingspan/${r} ${top}/wingspan/${r} SYMBOLIC)
    endif()
    if(r STREQUAL room)
      break()
    endif()
  endforeach()
  set(${out} ${top} PARENT_SCOPE)
endfunction()

function(ws_room name)
  cmake_parse_arguments(R "" "" "SOURCES;LIBS" ${ARGN})
  ws_room_includes(${name} includes)
  add_library(ws_${name} OBJECT ${R_SOURCES})
  target_include_directories(ws_${name} PRIVATE ${includes})
  target_link_libraries(ws_${name} PRIVATE MPI::MPI_C)
  foreach(lib IN LISTS R_LIBS)
    if(lib STREQUAL "m")
      continue() # libwingspan links it
    endif()
    target_link_libraries(ws_${name} PRIVATE ws_pkg_${lib})
    set_property(GLOBAL APPEND PROPERTY WS_LIBS_${name} ws_pkg_${lib})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY WS_ROOMS_MADE ${name})
endfunction()
