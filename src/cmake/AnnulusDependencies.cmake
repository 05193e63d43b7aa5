# Finds what the floors link. Sets ANNULUS_HAVE_<X> for each optional dependency.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(hwy REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(BLAS REQUIRED)

# annulus_optional(<X> <found>): decides whether the build has X, given what was asked and found.
macro(annulus_optional name found hint)
  if(ANNULUS_${name} STREQUAL "ON" AND NOT "${found}")
    message(FATAL_ERROR "ANNULUS_${name}=ON, but it was not found; ${hint}")
  endif()
  if("${found}" AND NOT ANNULUS_${name} STREQUAL "OFF")
    set(ANNULUS_HAVE_${name} 1)
  else()
    set(ANNULUS_HAVE_${name} 0)
  endif()
endmacro()

if(ANNULUS_SIMULATION)
  # Its ranks are actors of one process, started by the program itself rather than by smpirun, so that
  # nothing is compiled in another way than usual.
  find_path(SIMGRID_INCLUDE_DIR smpi/mpi.h)
  find_library(SIMGRID_LIBRARY simgrid)
  if(NOT SIMGRID_INCLUDE_DIR OR NOT SIMGRID_LIBRARY)
    message(FATAL_ERROR "ANNULUS_SIMULATION=ON, but SimGrid was not found; install libsimgrid-dev")
  endif()
  add_library(MPI::MPI_CXX INTERFACE IMPORTED)
  target_include_directories(MPI::MPI_CXX SYSTEM INTERFACE "${SIMGRID_INCLUDE_DIR}/smpi")
  target_link_libraries(MPI::MPI_CXX INTERFACE "${SIMGRID_LIBRARY}")
  set(MPI_CXX_FOUND TRUE)
elseif(NOT ANNULUS_MPI STREQUAL "OFF")
  find_package(MPI COMPONENTS C CXX QUIET)
endif()
annulus_optional(MPI "${MPI_CXX_FOUND}" "install libopenmpi-dev or another MPI")

if(NOT ANNULUS_HDF5 STREQUAL "OFF")
  set(HDF5_PREFER_PARALLEL ${ANNULUS_HAVE_MPI})
  find_package(HDF5 COMPONENTS C HL QUIET)
  # The headers of an HDF5 that was built with MPI include mpi.h, whether this build uses MPI or not.
  if(HDF5_FOUND AND HDF5_IS_PARALLEL)
    find_package(MPI COMPONENTS C QUIET)
    if(MPI_C_FOUND)
      target_link_libraries(hdf5::hdf5 INTERFACE MPI::MPI_C)
    else()
      set(HDF5_FOUND FALSE)
    endif()
  endif()
endif()
annulus_optional(HDF5 "${HDF5_FOUND}" "install libhdf5-openmpi-dev or libhdf5-dev")
set(ANNULUS_HAVE_PARALLEL_HDF5 0)
if(ANNULUS_HAVE_HDF5 AND ANNULUS_HAVE_MPI AND HDF5_IS_PARALLEL)
  set(ANNULUS_HAVE_PARALLEL_HDF5 1)
endif()

if(NOT ANNULUS_CUDA STREQUAL "OFF")
  find_package(CUDAToolkit QUIET)
  # Kernels need the compiler, which the runtime libraries alone do not bring.
  if(NOT CUDAToolkit_NVCC_EXECUTABLE)
    set(CUDAToolkit_FOUND FALSE)
  endif()
endif()
annulus_optional(CUDA "${CUDAToolkit_FOUND}" "install the CUDA toolkit")
if(ANNULUS_HAVE_CUDA)
  include(AnnulusCuda)
endif()

if(NOT ANNULUS_NCCL STREQUAL "OFF" AND ANNULUS_HAVE_CUDA)
  find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
endif()
set(nccl_found 0)
if(NCCL_INCLUDE_DIR)
  set(nccl_found 1)
endif()
annulus_optional(NCCL "${nccl_found}" "install libnccl-dev (it also needs CUDA)")

# The distribution's Python before any other: its packages include matplotlib, xarray and h5netcdf.
find_program(ANNULUS_PYTHON NAMES python3 HINTS /usr/bin DOC "Python with h5py, matplotlib, xarray and h5netcdf"
             REQUIRED)

# Its C++ frontend is headers alone, in a system folder or in a Python package.
if(NOT ANNULUS_CUDNN STREQUAL "OFF" AND ANNULUS_HAVE_CUDA)
  find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_library(CUDNN_LIBRARY cudnn HINTS ${CUDAToolkit_LIBRARY_DIR} ${CUDAToolkit_LIBRARY_ROOT}/lib)
  if(NOT CUDNN_FRONTEND_INCLUDE_DIR)
    # Where launch/setup puts it, and where pip does.
    set(package_prefixes "${PROJECT_SOURCE_DIR}/build/cudnn-frontend/include")
    foreach(python ${ANNULUS_PYTHON} python3)
      execute_process(
        COMMAND ${python} -c "import importlib.metadata as m; print(m.distribution('nvidia-cudnn-frontend').locate_file(''))"
        OUTPUT_VARIABLE packages OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
      if(failed EQUAL 0)
        list(APPEND package_prefixes "${packages}/include")
      endif()
    endforeach()
    find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ${package_prefixes})
  endif()
endif()
set(cudnn_found 0)
if(CUDNN_INCLUDE_DIR AND CUDNN_LIBRARY AND CUDNN_FRONTEND_INCLUDE_DIR)
  set(cudnn_found 1)
endif()
annulus_optional(CUDNN "${cudnn_found}"
  "install cuDNN 9, and the Python package nvidia-cudnn-frontend for its headers (it also needs CUDA)")

if(NOT ANNULUS_OPENMP STREQUAL "OFF")
  find_package(OpenMP COMPONENTS CXX QUIET)
endif()
annulus_optional(OPENMP "${OpenMP_CXX_FOUND}" "use a compiler with OpenMP")

# Header-only libraries without a CMake package.
find_path(RANDOM123_INCLUDE_DIR Random123/philox.h REQUIRED)
find_path(CBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES openblas REQUIRED)
