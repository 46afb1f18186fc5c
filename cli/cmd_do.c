/* bailey do [OPTIONS] [--] CMD [ARGS]: do_options.c reads the options; boot.c does the work. */
#include "cli/boot.h"
#include "cli/cmd.h"
#include "cli/do_options.h"
#include "cli/options.h"

int cmd_do(int argc, char **argv)
{
	struct do_options o;
	int status = do_options_parse(&o, argc, argv);

	if (status == OPTIONS_DONE)
		return 0;
	return status ? status : boot(&o);
}
