"""Other people's formats: answers out as DICOM SR and FHIR, clips out without identity, weights of others in."""
