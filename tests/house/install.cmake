# Installs the build into an empty folder, moves that folder, and builds and runs a project outside
# the tree that finds it: nothing may point back at the build or at the first place.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(code)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "'${command}' failed:\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE "${WORK}")
run(${CMAKE_COMMAND} --install "${BUILD}" --prefix "${WORK}/first")
file(RENAME "${WORK}/first" "${WORK}/moved")
run(${CMAKE_COMMAND} -S "${SOURCE}" -B "${WORK}/build" -DCMAKE_PREFIX_PATH=${WORK}/moved
    -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_BUILD_TYPE=Release)
run(${CMAKE_COMMAND} --build "${WORK}/build")
run("${WORK}/build/outside")
run("${WORK}/moved/bin/annulus" --version)
run("${WORK}/moved/bin/annulus" verify --length 31 --transport threads:2)
if(NOT EXISTS "${WORK}/moved/share/annulus/report/__main__.py")
  message(FATAL_ERROR "the drawing program was not installed")
endif()
