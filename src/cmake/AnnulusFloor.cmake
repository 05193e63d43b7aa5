# annulus_floor(<name> SOURCES ... [LINKS <floors and libraries below>] [PRIVATE_LINKS ...])
# One library per floor. It is linked with --no-undefined, so a symbol of a floor that is not named
# in LINKS is a link error, not a surprise at run time.
include(CheckLinkerFlag)
check_linker_flag(CXX "-Wl,--no-undefined" ANNULUS_LINKER_HAS_NO_UNDEFINED)

function(annulus_floor name)
  cmake_parse_arguments(floor "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  set(target annulus_${name})
  add_library(${target} ${floor_SOURCES})
  add_library(annulus::${name} ALIAS ${target})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PUBLIC ${floor_LINKS}
                        PRIVATE ${floor_PRIVATE_LINKS} $<BUILD_INTERFACE:annulus_flags>)
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name}
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
  if(ANNULUS_LINKER_HAS_NO_UNDEFINED AND NOT ANNULUS_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,--no-undefined)
  endif()
  set_property(GLOBAL APPEND PROPERTY ANNULUS_FLOORS ${target})
endfunction()
