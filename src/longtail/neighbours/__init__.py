"""What is counted and compared between items, and the weights that validation gives it. numpy, scipy, scikit-learn."""
