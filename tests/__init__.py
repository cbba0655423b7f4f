"""A package, since some distribution that is needed here brings a package of this very name along."""
