#include "converter/report/page.h"

#include "converter/report/embedded.h"
#include "converter/report/markup.h"
#include "converter/report/palette.h"

/// The themes are two sets of the same variables; paper is always light.
void pbitc_page_begin(FILE *stream, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n<title>",
          stream);
    pbitc_markup_write(stream, title);
    fputs("</title>\n<style>\n:root{", stream);
    pbitc_palette_write_css(stream, 0);
    fputs("}\n@media screen and (prefers-color-scheme:dark){:root{", stream);
    pbitc_palette_write_css(stream, 1);
    fprintf(stream, "}}\n%s</style>\n</head>\n<body>\n<main>\n", (const char *)pbitc_embedded_style);
}

void pbitc_page_end(FILE *stream)
{
    fputs("</main>\n</body>\n</html>\n", stream);
}
