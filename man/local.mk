# To add a page: put its name in this list.

dist_man_MANS += \
	man/futured.8 \
	man/futured.conf.5 \
	man/futurectl.1 \
	man/libfutured.3
