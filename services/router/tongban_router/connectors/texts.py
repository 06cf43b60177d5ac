"""What connectors say to people in the timeline."""

HELD = "与省级平台交互出现异常，已转人工处理"
DESTROYED = "个人信息已按期销毁，未向省级平台提交"
WAITING = {
    "closed": "省级平台当前不在服务时间，开放后自动继续",
    "throttled": "省级平台繁忙，稍后自动继续",
    "down": "省级平台暂时无法连接，恢复后自动继续",
}
