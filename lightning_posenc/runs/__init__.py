"""Where does a run keep what it makes? Directories, whole files, checkpoints, loggers, figures."""
