/* version.h - the version of wingspan and of what it writes. */
#ifndef WS_CORE_VERSION_H
#define WS_CORE_VERSION_H

#define WS_VERSION "0.1.0"

/* Version of checkpoint contents: /format/version. */
enum { WS_FORMAT_VERSION = 1 };

#endif
