#pragma once
// Apart from the statistics themselves, for code that is compiled for GPUs too.

namespace annulus {

/// Whether a pass keeps what the statistics of its rows are made of.
enum class Statistics { off, on };

}  // namespace annulus
