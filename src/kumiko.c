/* The program without features of its own: `kumiko serve --feature ./invoicing.so`. */
#include "kumiko.h"

int main(int argc, char **argv)
{
    return ku_main(argc, argv, NULL);
}
