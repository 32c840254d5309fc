"""Every adaptation, augmentation and compression that is off by default, one file each; README.md has the table."""
