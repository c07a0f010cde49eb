// README.md and diagram.svg of the folder.
#include "converter/export/verilog/verilog.h"

#include <inttypes.h>

void pbitc_verilog_write_readme(const struct pbitc_verilog *design, FILE *stream)
{
    fprintf(stream, "# %s\n", design->name);
}

void pbitc_verilog_write_diagram(const struct pbitc_verilog *design, FILE *stream)
{
    (void)design;
    fputs("<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n", stream);
}
