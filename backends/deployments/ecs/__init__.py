"""ECS: two services behind two target groups (`ecs`), and services that ECS itself moves (`ecs-native`)."""
