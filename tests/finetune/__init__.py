"""Teaching BERT: data, calibration and the classifier."""
