#pragma once
// What the extension module is made of: each of these adds its part to it.

#include <nanobind/nanobind.h>

namespace annulus::python {

namespace nb = nanobind;

void bind_errors();
void bind_build(nb::module_& module);
void bind_problem(nb::module_& module);
void bind_program(nb::module_& module);
void bind_plan(nb::module_& module);
void bind_communicators(nb::module_& module);
void bind_mpi(nb::module_& module);
void bind_nccl(nb::module_& module);
void bind_attention(nb::module_& module);
void bind_cache(nb::module_& module);
void bind_study(nb::module_& module);

}  // namespace annulus::python
