"""What is shown in a browser and answers: views only. Each has its module here and its script and style in static/."""
