"""Lists for everybody: a bundle and everybody's history -> what each user, or each item's page, would be given."""
