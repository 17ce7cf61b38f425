"""The service-profit chain: from survey files to an honest figure in money."""
