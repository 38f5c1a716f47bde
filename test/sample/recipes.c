/*
 * The recipes as a program, for the tests that speak to it over HTTP.
 */
#include "sample/recipes.h"

#include "sample/probe.h"

int main(int argc, char **argv)
{
    return ku_main(argc, argv,
        KU_LIST(ku_feature, &notes_feature, &staff_feature, &orders_feature, &pubsub_orders_feature,
            &pubsub_inbox_feature, &chain_feature, &probe_feature));
}
