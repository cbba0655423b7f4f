"""Make `tests` a package, since an installed distribution brings a package of the same name."""
