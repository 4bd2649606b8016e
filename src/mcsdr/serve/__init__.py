"""What answers from outside: the HTTP service with its page, and the DICOM node. Nothing imports from here."""
