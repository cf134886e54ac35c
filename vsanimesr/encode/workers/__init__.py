"""Who renders: this process, others of this machine, or a cluster; each makes the same bytes."""
