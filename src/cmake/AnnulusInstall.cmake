# What `cmake --install` puts where, and the package that find_package(annulus) finds.
include(CMakePackageConfigHelpers)

# Everything, and the header that includes everything.
add_library(annulus_annulus INTERFACE)
add_library(annulus::annulus ALIAS annulus_annulus)
set_target_properties(annulus_annulus PROPERTIES EXPORT_NAME annulus)
get_property(floors GLOBAL PROPERTY ANNULUS_FLOORS)
target_link_libraries(annulus_annulus INTERFACE ${floors})
target_compile_definitions(annulus_annulus INTERFACE ANNULUS_HAVE_NCCL=${ANNULUS_HAVE_NCCL})
annulus_headers(annulus_annulus INTERFACE "${PROJECT_SOURCE_DIR}/include/annulus/annulus.hpp")

install(TARGETS annulus_annulus ${floors} EXPORT annulus
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        FILE_SET HEADERS)
install(FILES "${PROJECT_SOURCE_DIR}/include/annulus/annulus.f90"
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/annulus)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/annulus")
install(EXPORT annulus NAMESPACE annulus:: FILE annulusTargets.cmake DESTINATION ${package_dir})
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/annulusConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/annulusConfig.cmake" INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file("${PROJECT_BINARY_DIR}/annulusConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/annulusConfig.cmake"
              "${PROJECT_BINARY_DIR}/annulusConfigVersion.cmake" DESTINATION ${package_dir})
