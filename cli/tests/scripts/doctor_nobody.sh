rapids doctor --stage nobody
rapids doctor
