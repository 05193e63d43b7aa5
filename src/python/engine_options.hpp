#pragma once
// What engines of all kinds are asked for.

#include <optional>
#include <string>

#include "annulus/attention/problem.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/plan/plan.hpp"
#include "python/agreement.hpp"

namespace annulus::python {

/// What all ranks have to say alike of a problem, and of a plan.
[[nodiscard]] Facts facts_of(const Problem& problem);
[[nodiscard]] Facts facts_of(const Plan& plan);

/// The backend called `name`, on `device` where one is asked for. Throws InputError where there is
/// none, and for one that computes elsewhere than on the GPUs that a communicator joins.
[[nodiscard]] const kernels::Kernel& backend_of(const comm::Communicator& communicator,
                                                const std::string& name, DataType type,
                                                std::optional<DeviceKind> device = {});

/// The threads of a rank: as many as are asked for, or its share where that is 0. Throws InputError
/// for fewer.
[[nodiscard]] int threads_of(int asked, const comm::Communicator& communicator);

}  // namespace annulus::python
