"""CodeDeploy on ECS: a deployment group moves the traffic of one service."""
