# To add a file: put its name in EXTRA_DIST and say below where it goes. In a .in file make fills in @bindir@ and @sysconfdir@.

EXTRA_DIST += \
	conf/futured.conf \
	conf/futured.service.in \
	conf/futured.socket \
	conf/futured.sysusers \
	conf/futured.tmpfiles \
	conf/hardened.conf \
	conf/run-as-owner.conf \
	conf/user/futured.service.in

conf_made = conf/futured.service conf/user/futured.service
noinst_DATA += $(conf_made)
CLEANFILES += $(conf_made)

$(conf_made): Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	$(SED) -e 's,[@]bindir[@],$(bindir),g' -e 's,[@]sysconfdir[@],$(sysconfdir),g' $(srcdir)/$@.in >$@.tmp && \
	mv $@.tmp $@
conf/futured.service: $(srcdir)/conf/futured.service.in
conf/user/futured.service: $(srcdir)/conf/user/futured.service.in

# Where the shells look by themselves.
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = conf/completion/bash/futurectl
zshcompletiondir = $(datadir)/zsh/site-functions
dist_zshcompletion_DATA = conf/completion/zsh/_futurectl
fishcompletiondir = $(datadir)/fish/vendor_completions.d
dist_fishcompletion_DATA = conf/completion/fish/futurectl.fish

docexampledir = $(docdir)/examples
dist_docexample_DATA = conf/hardened.conf conf/run-as-owner.conf

if HAVE_SYSTEMDSYSTEMUNITDIR
systemdsystemunit_DATA = conf/futured.service conf/futured.socket
endif
if HAVE_SYSTEMDUSERUNITDIR
systemduserunit_DATA = conf/user/futured.service
endif

# An administrator's futured.conf stays; the current one lies beside it. sysusers.d and tmpfiles.d want other names.
install-data-local: install-conf
uninstall-local: uninstall-conf

install-conf:
	$(MKDIR_P) $(DESTDIR)$(sysconfdir)/futured
	@conf=$(DESTDIR)$(sysconfdir)/futured/futured.conf; \
	if test -f $$conf && ! cmp -s $(srcdir)/conf/futured.conf $$conf; then conf=$$conf.new; fi; \
	echo "installing $$conf"; $(INSTALL_DATA) $(srcdir)/conf/futured.conf $$conf
if HAVE_SYSUSERSDIR
	$(MKDIR_P) $(DESTDIR)$(sysusersdir)
	$(INSTALL_DATA) $(srcdir)/conf/futured.sysusers $(DESTDIR)$(sysusersdir)/futured.conf
endif
if HAVE_TMPFILESDIR
	$(MKDIR_P) $(DESTDIR)$(tmpfilesdir)
	$(INSTALL_DATA) $(srcdir)/conf/futured.tmpfiles $(DESTDIR)$(tmpfilesdir)/futured.conf
endif

uninstall-conf:
	@conf=$(DESTDIR)$(sysconfdir)/futured/futured.conf; rm -f $$conf.new; \
	if cmp -s $(srcdir)/conf/futured.conf $$conf; then rm -f $$conf; fi
	-rmdir $(DESTDIR)$(sysconfdir)/futured 2>/dev/null
if HAVE_SYSUSERSDIR
	rm -f $(DESTDIR)$(sysusersdir)/futured.conf
endif
if HAVE_TMPFILESDIR
	rm -f $(DESTDIR)$(tmpfilesdir)/futured.conf
endif

.PHONY: install-conf uninstall-conf
