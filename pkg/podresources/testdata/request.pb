
apptenant