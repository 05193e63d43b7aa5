// The extension module annulus._core: what the Python package is made of.
#include "python/bindings.hpp"

NB_MODULE(_core, module) {
  using namespace annulus::python;
  module.doc() = "What the package is made of: not to be imported by others.";
  nb::set_leak_warnings(false);  // what modules hold to the end of a process is no leak
  bind_errors();
  bind_build(module);
  bind_problem(module);
  bind_program(module);
  bind_plan(module);
  bind_communicators(module);
  bind_mpi(module);
  bind_nccl(module);
  bind_attention(module);
  bind_cache(module);
  bind_study(module);
}
