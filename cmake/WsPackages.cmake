# The libraries that rooms may ask for in LIBS of ws_room().
find_package(PkgConfig REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)
set(WS_PACKAGES hdf5=hdf5-openmpi openblas=openblas xxhash=libxxhash inih=inih cjson=libcjson
    zlib=zlib scalapack=scalapack-openmpi cmocka=cmocka)
foreach(pair IN LISTS WS_PACKAGES)
  string(REPLACE "=" ";" pair ${pair})
  list(GET pair 0 name)
  list(GET pair 1 module)
  pkg_check_modules(WS_PKG_${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
  add_library(ws_pkg_${name} ALIAS PkgConfig::WS_PKG_${name})
endforeach()
