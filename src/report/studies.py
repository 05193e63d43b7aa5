"""Which pictures belong to which kind of study."""

import depth
import needle
import phase
import sphere

PICTURES = {
    "phase": phase.pictures,
    "needle": needle.pictures,
    "sphere": sphere.pictures,
    "depth": depth.pictures,
}
