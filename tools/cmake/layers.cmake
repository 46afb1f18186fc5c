# One library a folder, each with a declared list of the folders whose headers it may use.
#
#   bailey_layer(sentry/vfs USES base abi platform sentry/core)
#
# A layer is compiled with an include path that holds links to the folders it names (and itself) and nothing else, so
# that an #include against the grain does not build.  Includes are written from the root: "sentry/vfs/vfs.h".
# Sources are the folder's *.c and *.S; subfolders belong to it unless they are layers of their own (SUBDIRS names them).

function(bailey_layer_includes target)
  set(view ${CMAKE_BINARY_DIR}/layers/${target})
  file(REMOVE_RECURSE ${view})
  foreach(dir IN LISTS ARGN)
    get_filename_component(parent ${view}/${dir} DIRECTORY)
    file(MAKE_DIRECTORY ${parent})
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${dir} ${view}/${dir} SYMBOLIC)
  endforeach()
  target_include_directories(${target} PRIVATE ${view})
endfunction()

function(bailey_layer dir)
  cmake_parse_arguments(L "" "" "USES;SUBDIRS;LIBS" ${ARGN})
  string(REPLACE "/" "_" target bailey_${dir})
  set(patterns ${CMAKE_SOURCE_DIR}/${dir}/*.c ${CMAKE_SOURCE_DIR}/${dir}/*.S)
  foreach(sub IN LISTS L_SUBDIRS)
    list(APPEND patterns ${CMAKE_SOURCE_DIR}/${dir}/${sub}/*.c ${CMAKE_SOURCE_DIR}/${dir}/${sub}/*.S)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  if(NOT sources)
    return()
  endif()
  add_library(${target} OBJECT ${sources})
  bailey_layer_includes(${target} ${dir} ${L_USES})
  target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/generated)
  target_link_libraries(${target} PRIVATE ${L_LIBS} Threads::Threads)
  set_property(GLOBAL APPEND PROPERTY BAILEY_LAYERS ${target})
endfunction()
