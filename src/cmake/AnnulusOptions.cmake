# What a build can be asked for. AUTO takes a dependency where it is found, ON insists, OFF leaves
# it out; `annulus info` says what a build has.
foreach(dependency MPI HDF5 CUDA NCCL CUDNN OPENMP)
  set(ANNULUS_${dependency} AUTO CACHE STRING "Build with ${dependency}: AUTO, ON or OFF")
  set_property(CACHE ANNULUS_${dependency} PROPERTY STRINGS AUTO ON OFF)
  if(NOT ANNULUS_${dependency} MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "ANNULUS_${dependency} is '${ANNULUS_${dependency}}'; expected AUTO, ON or OFF")
  endif()
endforeach()
option(ANNULUS_TESTS "Build the tests" ON)
option(ANNULUS_SIMULATION "Build annulus_simulate, with SimGrid's SMPI in place of MPI" OFF)
option(ANNULUS_PYTHON_PACKAGE "Build the Python package, with nanobind" OFF)
option(ANNULUS_FUZZERS "Build the fuzzers, with clang" OFF)
option(ANNULUS_WARNINGS_AS_ERRORS "Treat warnings as errors" OFF)
set(ANNULUS_SANITIZE "" CACHE STRING "Sanitizers to build with: address, undefined, thread (comma separated)")
option(BUILD_SHARED_LIBS "Build the floors as shared libraries, linked with --no-undefined" ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET default)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_INSTALL_RPATH "$ORIGIN;$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

add_library(annulus_flags INTERFACE)
target_compile_options(annulus_flags INTERFACE
  # nvcc has flags of its own, see AnnulusCuda.cmake.
  $<$<NOT:$<COMPILE_LANGUAGE:CUDA>>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor
    -Woverloaded-virtual $<$<BOOL:${ANNULUS_WARNINGS_AS_ERRORS}>:-Werror>
    # GCC 12 warns of overlaps in std::string's operator+ that are not there (GCC bug 105651).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>>)
if(ANNULUS_SANITIZE)
  # What GCC knows of uninitialized variables it no longer knows of instrumented code.
  target_compile_options(annulus_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_compile_options(annulus_flags INTERFACE
    -fsanitize=${ANNULUS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  target_link_options(annulus_flags INTERFACE -fsanitize=${ANNULUS_SANITIZE})
  if(ANNULUS_SANITIZE MATCHES "address")
    # Accesses that go wrong are seen as accesses; these checks of pointers before them take an eighth
    # of the time to compile.
    target_compile_options(annulus_flags INTERFACE -fno-sanitize=null,object-size,vptr,pointer-overflow)
  endif()
endif()
