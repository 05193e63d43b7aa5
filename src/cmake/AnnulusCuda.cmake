# The CUDA language. Kernels run on compute capability 8.0 and later.

# 80: code for 8.x, and PTX from which the driver makes code for everything later at the first start.
# A build for a cluster names what it has, as in "80-real;90-real;100-real;120": each takes two thirds
# as long again, and only what is not "real" brings PTX.
set(ANNULUS_CUDA_ARCHITECTURES "80" CACHE STRING "What GPU kernels are compiled for, as CMAKE_CUDA_ARCHITECTURES")
set(CMAKE_CUDA_ARCHITECTURES "${ANNULUS_CUDA_ARCHITECTURES}")

# Kernels ask for nothing that the least of these lacks, so its PTX is made once, and code for every
# other from that: more than half of the time of nvcc goes into PTX, which CMake would have made anew.
# annulus_cuda_code: what there is then, in the same words. Others than numbers are left to CMake.
set(annulus_cuda_code "${CMAKE_CUDA_ARCHITECTURES}")
set(annulus_cuda_options "")
if("${CMAKE_CUDA_ARCHITECTURES}" MATCHES "^[0-9]+(-real|-virtual)?(;[0-9]+(-real|-virtual)?)*$")
  string(REGEX MATCHALL "[0-9]+" numbers "${CMAKE_CUDA_ARCHITECTURES}")
  list(SORT numbers COMPARE NATURAL)
  list(GET numbers 0 least)
  set(annulus_cuda_code "")
  set(code "")
  foreach(architecture IN LISTS CMAKE_CUDA_ARCHITECTURES)
    string(REGEX MATCH "[0-9]+" number "${architecture}")
    if(NOT architecture MATCHES "virtual")
      list(APPEND annulus_cuda_code "${number}-real")
      list(APPEND code "sm_${number}")
    endif()
    if(NOT architecture MATCHES "real")
      list(APPEND annulus_cuda_code "${least}-virtual")
      list(APPEND code "compute_${least}")
    endif()
  endforeach()
  list(REMOVE_DUPLICATES annulus_cuda_code)
  list(REMOVE_DUPLICATES code)
  list(JOIN code "," code)
  set(annulus_cuda_options "-gencode=arch=compute_${least},code=[${code}]")
endif()

# nvcc as find_package found it, whether or not it is in the path.
if(NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER "${CUDAToolkit_NVCC_EXECUTABLE}")
endif()
enable_language(CUDA)

# CMake 3.25 knows CUDA up to C++17; nvcc has known C++20 since CUDA 12.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)

# Kernels call constexpr functions of the headers that they share with host code.
target_compile_options(annulus_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;-Xcompiler=-Wall,-Wextra,-Wconversion,-Wshadow>"
  "$<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${ANNULUS_WARNINGS_AS_ERRORS}>>:-Werror=all-warnings>")
