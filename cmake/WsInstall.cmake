# make install: program, library, public headers, pkg-config and CMake package files.
include(CMakePackageConfigHelpers)
install(TARGETS wingspan_lib EXPORT wingspanTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS wingspan RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/wingspan DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT wingspanTargets NAMESPACE wingspan::
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wingspan)
configure_package_config_file(cmake/wingspanConfig.cmake.in
  ${PROJECT_BINARY_DIR}/wingspanConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wingspan)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/wingspanConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/wingspanConfig.cmake
  ${PROJECT_BINARY_DIR}/wingspanConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wingspan)
file(RELATIVE_PATH WS_PC_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/wingspan.pc.in ${PROJECT_BINARY_DIR}/wingspan.pc.made @ONLY)
file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/wingspan.pc INPUT ${PROJECT_BINARY_DIR}/wingspan.pc.made)
install(FILES ${PROJECT_BINARY_DIR}/wingspan.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
