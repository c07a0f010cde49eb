// Files that are part of the program; embed_files.py makes the bytes.
#ifndef PBITC_EMBEDDED_H
#define PBITC_EMBEDDED_H

extern const unsigned char pbitc_embedded_font[];  ///< DejaVuSans.ttf
extern const unsigned char pbitc_embedded_style[]; ///< page.css, closed by a NUL

#endif
