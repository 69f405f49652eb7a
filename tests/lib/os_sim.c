/* os_sim.c */
