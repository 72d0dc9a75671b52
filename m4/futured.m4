dnl The options and checks that are futured's own.

dnl FUTURED_TRY_FLAG(FLAG, VARIABLE): append FLAG to VARIABLE if the compiler takes it (and the linker links with it).
AC_DEFUN([FUTURED_TRY_FLAG], [
	AS_VAR_PUSHDEF([cachevar], [futured_cv_flag_$1])
	AC_CACHE_CHECK([whether $CC takes $1], [cachevar], [
		futured_saved_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS -Werror $1"
		AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([cachevar], [yes])], [AS_VAR_SET([cachevar], [no])])
		CFLAGS=$futured_saved_CFLAGS
	])
	AS_VAR_IF([cachevar], [yes], [$2="$$2 $1"])
	AS_VAR_POPDEF([cachevar])
])

AC_DEFUN([FUTURED_OPTION_WERROR], [
	AC_ARG_ENABLE([werror],
		[AS_HELP_STRING([--enable-werror], [a warning ends the build])],
		[], [enable_werror=no])
])

dnl Sanitizers go into CFLAGS and LDFLAGS of every object and program, as a half-instrumented tree reports nonsense.
AC_DEFUN([FUTURED_OPTION_SANITIZERS], [
	AC_ARG_ENABLE([sanitizers],
		[AS_HELP_STRING([--enable-sanitizers=LIST], [for example address,undefined or thread])],
		[], [enable_sanitizers=no])
	AS_CASE([$enable_sanitizers],
		[yes], [enable_sanitizers=address,undefined])
	SANITIZER_FLAGS=
	AS_IF([test "$enable_sanitizers" != no], [
		SANITIZER_FLAGS="-fsanitize=$enable_sanitizers -fno-omit-frame-pointer"
		AS_CASE([,$enable_sanitizers,],
			[*,undefined,*], [SANITIZER_FLAGS="$SANITIZER_FLAGS -fno-sanitize-recover=undefined"])
		futured_saved_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS $SANITIZER_FLAGS"
		AC_MSG_CHECKING([whether $CC can build with $SANITIZER_FLAGS])
		AC_LINK_IFELSE([AC_LANG_PROGRAM()],
			[AC_MSG_RESULT([yes])],
			[AC_MSG_RESULT([no])
			AC_MSG_ERROR([$CC cannot build with -fsanitize=$enable_sanitizers])])
		CFLAGS=$futured_saved_CFLAGS
		AC_DEFINE([WITH_SANITIZERS], [1], [Define when the build is instrumented by sanitizers.])
	])
	AM_CONDITIONAL([SANITIZERS], [test "$enable_sanitizers" != no])
	AC_SUBST([SANITIZER_FLAGS])
])

AC_DEFUN([FUTURED_OPTION_FUZZING], [
	AC_ARG_ENABLE([fuzzing],
		[AS_HELP_STRING([--enable-fuzzing], [instrument for libFuzzer (clang)])],
		[], [enable_fuzzing=no])
	FUZZING_FLAGS=
	AS_IF([test "$enable_fuzzing" != no], [
		FUTURED_TRY_FLAG([-fsanitize=fuzzer-no-link], [FUZZING_FLAGS])
		AS_IF([test -z "$FUZZING_FLAGS"], [AC_MSG_ERROR([--enable-fuzzing needs clang: configure with CC=clang])])
		AC_DEFINE([WITH_FUZZING], [1], [Define when the build is instrumented for libFuzzer.])
	])
	AM_CONDITIONAL([FUZZING], [test "$enable_fuzzing" != no])
	AC_SUBST([FUZZING_FLAGS])
])

AC_DEFUN([FUTURED_WARNINGS], [
	WARNING_FLAGS=
	m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
		-Wpointer-arith -Wformat=2 -Wundef -Wvla],
		[FUTURED_TRY_FLAG(m4_defn([flag]), [WARNING_FLAGS])])
	AS_IF([test "$enable_werror" = yes], [WARNING_FLAGS="$WARNING_FLAGS -Werror"])
	AC_SUBST([WARNING_FLAGS])
])

dnl -D_FORTIFY_SOURCE asks for optimization and disturbs the sanitizers: config.h decides that for each compilation.
AC_DEFUN([FUTURED_HARDENING], [
	HARDENING_CFLAGS=
	HARDENING_LDFLAGS=
	PIE_LDFLAGS=
	FUTURED_TRY_FLAG([-fstack-protector-strong], [HARDENING_CFLAGS])
	AS_CASE([$host_cpu], [x86_64|i?86], [
		FUTURED_TRY_FLAG([-fstack-clash-protection], [HARDENING_CFLAGS])
		FUTURED_TRY_FLAG([-fcf-protection], [HARDENING_CFLAGS])])
	m4_foreach_w([flag], [-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed],
		[FUTURED_TRY_FLAG(m4_defn([flag]), [HARDENING_LDFLAGS])])
	FUTURED_TRY_FLAG([-fPIE], [HARDENING_CFLAGS])
	FUTURED_TRY_FLAG([-pie], [PIE_LDFLAGS])
	AC_SUBST([HARDENING_CFLAGS])
	AC_SUBST([HARDENING_LDFLAGS])
	AC_SUBST([PIE_LDFLAGS])
	AH_BOTTOM([#if defined(__OPTIMIZE__) && !defined(_FORTIFY_SOURCE) && !defined(WITH_SANITIZERS)
#define _FORTIFY_SOURCE 2
#endif])
])

dnl libsystemd is optional, and so are the folders of its files.
AC_DEFUN([FUTURED_WITH_SYSTEMD], [
	AC_ARG_WITH([systemd],
		[AS_HELP_STRING([--with-systemd=yes|no|auto], [notify systemd and take its sockets])],
		[], [with_systemd=auto])
	have_systemd=no
	AS_IF([test "$with_systemd" != no], [
		PKG_CHECK_MODULES([SYSTEMD], [libsystemd >= 247], [have_systemd=yes], [
			AS_IF([test "$with_systemd" = yes], [AC_MSG_ERROR([--with-systemd needs libsystemd])])])
	])
	AS_IF([test "$have_systemd" = yes], [AC_DEFINE([HAVE_SYSTEMD], [1], [Define when libsystemd is there.])])
	FUTURED_SYSTEMD_FOLDER([systemdsystemunitdir], [system units], [lib/systemd/system])
	FUTURED_SYSTEMD_FOLDER([systemduserunitdir], [user units], [lib/systemd/user])
	FUTURED_SYSTEMD_FOLDER([sysusersdir], [sysusers.d files], [lib/sysusers.d])
	FUTURED_SYSTEMD_FOLDER([tmpfilesdir], [tmpfiles.d files], [lib/tmpfiles.d])
])

dnl FUTURED_SYSTEMD_FOLDER(NAME, WHAT, BELOW): --with-NAME=DIR; else, for the machine's own prefixes, where its systemd looks
dnl (nowhere without systemd), and for any other prefix below that, since who chose it may write nowhere else.
AC_DEFUN([FUTURED_SYSTEMD_FOLDER], [
	AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1=DIR], [folder of the $2 (no: none)])], [], [
		AS_CASE([$prefix],
			[NONE|/usr|/usr/local], [with_$1=`$PKG_CONFIG --variable=$1 systemd 2>/dev/null`],
			[with_$1='${prefix}/$3'])])
	AS_IF([test "$with_$1" = no], [with_$1=])
	AC_SUBST([$1], [$with_$1])
	AM_CONDITIONAL(m4_toupper([HAVE_$1]), [test -n "$with_$1"])
])
