"""What `mcsdr benchmark` runs: posteriors that are known, rivals on equal terms, real tables, missing modalities."""
