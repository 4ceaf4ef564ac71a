"""A network in the forms that others read, each checked by running it; needs torch only below this module."""
