"""Define the command line `tongban NOUN VERB`; its commands are thin and their exit codes
documented."""
