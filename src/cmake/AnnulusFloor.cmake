# annulus_floor(<name> SOURCES ... [LINKS <floors and libraries below>] [PRIVATE_LINKS ...])
# One library per floor, whose public headers are those of include/annulus/<name>, but for
# those of MPI and NCCL where the build has none. It is linked with
# --no-undefined, so a symbol of a floor that is not named in LINKS is a link error, not a surprise at
# run time.
include(CheckLinkerFlag)
check_linker_flag(CXX "-Wl,--no-undefined" ANNULUS_LINKER_HAS_NO_UNDEFINED)

#
# Where CMAKE_UNITY_BUILD is set, files are compiled several at a time, which takes a third of the time:
# but for registries and what they name, of which each has helpers of the same names.
function(annulus_floor name)
  cmake_parse_arguments(floor "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  set(target annulus_${name})
  add_library(${target} ${floor_SOURCES})
  set(alone ${floor_SOURCES})
  list(FILTER alone INCLUDE REGEX "registry|^(kinds|logit_scales|transports)/")
  set_source_files_properties(${alone} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  add_library(annulus::${name} ALIAS ${target})
  file(GLOB headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/annulus/${name}/*.hpp")
  foreach(dependency MPI NCCL)
    string(TOLOWER ${dependency} prefix)
    if(NOT ANNULUS_HAVE_${dependency})
      list(FILTER headers EXCLUDE REGEX "/${prefix}[^/]*$")
    endif()
  endforeach()
  annulus_headers(${target} PUBLIC ${headers})
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

# annulus_headers(<target> <scope> <header> ...): public headers, which are installed and which compile
# alone (target annulus_headers_alone).
function(annulus_headers target scope)
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include"
                 FILES ${ARGN})
  set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
endfunction()

# annulus_floor_part(<floor> <part> SOURCES ... [LINKS ...] [INCLUDES ...] [DEFINITIONS ...])
# The files of a floor that know an optional dependency. No other file is compiled with its headers
# and definitions, so what a build folder gains later leaves the rest of it as it is.
function(annulus_floor_part floor part)
  cmake_parse_arguments(part "" "" "SOURCES;LINKS;INCLUDES;DEFINITIONS" ${ARGN})
  set(target annulus_${floor}_${part})
  get_target_property(floor_links annulus_${floor} LINK_LIBRARIES)
  add_library(${target} OBJECT ${part_SOURCES})
  set_target_properties(${target} PROPERTIES UNITY_BUILD OFF)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/include"
                             "${PROJECT_SOURCE_DIR}/src")
  target_include_directories(${target} SYSTEM PRIVATE ${part_INCLUDES})
  target_compile_definitions(${target} PRIVATE ${part_DEFINITIONS})
  target_link_libraries(${target} PRIVATE ${floor_links} ${part_LINKS})
  target_sources(annulus_${floor} PRIVATE $<TARGET_OBJECTS:${target}>)
  foreach(library IN LISTS part_LINKS)
    target_link_libraries(annulus_${floor} PRIVATE $<LINK_ONLY:${library}>)
  endforeach()
endfunction()
