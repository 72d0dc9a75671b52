# To add a file: a .in file goes into conf_templates (@bindir@ and the like are filled in by make), any other into EXTRA_DIST.
